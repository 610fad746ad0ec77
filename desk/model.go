package desk

import (
	"fmt"

	"sekretariat/configs"
)

// modelView says how the router does, before an office lets it decide alone
// (rule P17).
type modelView struct {
	Off, Learning         bool
	Examples, Corrections int
	Rows                  []modelRow
}

// modelRow is one department. The shares are "right of said".
type modelRow struct {
	Where, Mode         string
	Before, After, Sure string
}

func modelOf(c *Centre) *modelView {
	if c.Teacher == nil {
		return nil
	}
	out := &modelView{Off: c.Config.Routing.Model == configs.Off, Learning: c.Config.Routing.Learning != configs.Off}
	if out.Off {
		return out
	}
	rep := c.Teacher.Report()
	out.Examples, out.Corrections = rep.Examples, rep.Corrections
	for _, r := range rep.Rows {
		if r.Month != "" {
			continue // the page shows the sums
		}
		out.Rows = append(out.Rows, modelRow{
			Where: departmentName(c.Config, r.Department), Mode: string(c.Config.ModeFor(r.Department, "")),
			Before: rightOf(r.RightBefore, r.SaidBefore), After: rightOf(r.RightAfter, r.SaidAfter), Sure: rightOf(r.SureRight, r.SureSaid),
		})
	}
	return out
}

func rightOf(right, said int) string {
	if said == 0 {
		return "—"
	}
	return fmt.Sprintf("%d z %d (%.0f %%)", right, said, 100*float64(right)/float64(said))
}
