package scan

import (
	"image"
	"slices"
)

// paper is a page, how light its paper is at each place, and what is darker.
type paper struct {
	w, h  int
	dpi   int
	pix   []uint8 // row by row, no gaps
	depth []uint8 // by how much each pixel is darker than the paper there
	level int     // of the paper, grey
	least uint8   // depth from which a pixel is a mark and not grain
}

// mm returns how many pixels so many tenths of a millimetre are, at least 1.
func (p *paper) mm(tenths int) int { return max(1, tenths*p.dpi/254) }

func newPaper(g *image.Gray, dpi int) *paper {
	b := g.Bounds()
	p := &paper{w: b.Dx(), h: b.Dy(), dpi: dpi}
	p.pix = make([]uint8, p.w*p.h)
	for y := range p.h {
		i := g.PixOffset(b.Min.X, b.Min.Y+y)
		copy(p.pix[y*p.w:(y+1)*p.w], g.Pix[i:i+p.w])
	}
	p.ground()
	p.grain()
	return p
}

// ground finds how light the paper is, in squares of 5 mm, and subtracts.
func (p *paper) ground() {
	side := max(8, p.mm(50))
	nx, ny := (p.w+side-1)/side, (p.h+side-1)/side
	grid := make([]int, nx*ny)
	var all [256]int
	for by := range ny {
		for bx := range nx {
			var hist [256]int
			n := 0
			for y := by * side; y < min((by+1)*side, p.h); y++ {
				row := p.pix[y*p.w:]
				for x := bx * side; x < min((bx+1)*side, p.w); x++ {
					hist[row[x]]++
					n++
				}
			}
			// Most of a square is paper, even under text.
			grid[by*nx+bx] = percentile(&hist, n*3/4)
			all[grid[by*nx+bx]]++
		}
	}
	p.level = percentile(&all, nx*ny/2)
	smooth := spread(grid, nx, ny)
	p.depth = make([]uint8, len(p.pix))
	for y := range p.h {
		fy := 256*y/side - 128
		y0, wy := clampCell(fy, ny)
		for x := range p.w {
			fx := 256*x/side - 128
			x0, wx := clampCell(fx, nx)
			x1, y1 := min(x0+1, nx-1), min(y0+1, ny-1)
			top := smooth[y0*nx+x0]*(256-wx) + smooth[y0*nx+x1]*wx
			bottom := smooth[y1*nx+x0]*(256-wx) + smooth[y1*nx+x1]*wx
			light := (top*(256-wy) + bottom*wy) >> 16
			p.depth[y*p.w+x] = uint8(max(0, light-int(p.pix[y*p.w+x])))
		}
	}
}

func clampCell(f, n int) (cell, weight int) {
	if f < 0 {
		return 0, 0
	}
	if f>>8 >= n-1 {
		return n - 1, 0
	}
	return f >> 8, f & 255
}

// spread replaces each square by the lightest of its neighbours where it is
// much darker than they are: a dark square among light ones is ink, not paper.
func spread(grid []int, nx, ny int) []int {
	out := slices.Clone(grid)
	for y := range ny {
		for x := range nx {
			lightest := 0
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					if yy, xx := y+dy, x+dx; yy >= 0 && yy < ny && xx >= 0 && xx < nx {
						lightest = max(lightest, grid[yy*nx+xx])
					}
				}
			}
			const much = 40
			if lightest-grid[y*nx+x] > much {
				out[y*nx+x] = lightest
			}
		}
	}
	return out
}

// grain decides from which depth a pixel is no grain of the paper: noise is
// measured on the page itself.
func (p *paper) grain() {
	var hist [256]int
	for _, d := range p.depth {
		hist[d]++
	}
	// Half of the pixels lie above the ground and count as 0; the spread of
	// the others is that of the noise.
	n := len(p.depth)
	median := percentile(&hist, n/2)
	high := percentile(&hist, n*17/20)
	const least, most, sigmas = 12, 48, 4
	p.least = uint8(min(most, max(least, median+sigmas*max(high-median, 1))))
}

func percentile(hist *[256]int, n int) int {
	for i, c := range hist {
		if n -= c; n < 0 {
			return i
		}
	}
	return 255
}
