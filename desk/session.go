package desk

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"sekretariat"
	"sekretariat/desk/people"
)

// cookieName holds "<centre>.<token>". The cookie is for this host alone, out
// of reach of scripts, and not sent by other sites.
const cookieName = "sekretariat"

// session finds out who asks. Returns people.ErrNoSession.
func (d *Desk) session(r *http.Request) (*Centre, people.Person, error) {
	k, err := r.Cookie(cookieName)
	if err != nil {
		return nil, people.Person{}, people.ErrNoSession
	}
	id, token, _ := strings.Cut(k.Value, ".")
	c := d.centre(id)
	if c == nil {
		return nil, people.Person{}, people.ErrNoSession
	}
	p, err := c.People.Session(r.Context(), token)
	return c, p, err
}

// WhoIs tells the API who asks, so that the page's links to content need no
// token. ok is false without a session.
func (d *Desk) WhoIs(r *http.Request) (centre sekretariat.CentreID, who sekretariat.Principal, ok bool) {
	c, p, err := d.session(r)
	if err != nil {
		return "", who, false
	}
	return c.Config.ID, p.Principal(c.Config.ID), true
}

func (d *Desk) centre(id string) *Centre {
	for i := range d.o.Centres {
		if c := &d.o.Centres[i]; string(c.Config.ID) == id {
			return c
		}
	}
	return nil
}

func (d *Desk) toSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") != "" { // a part of a page: the whole one must go
		w.Header().Set("HX-Redirect", "/logowanie")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	to := "/logowanie"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?dalej=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signInForm is what the sign-in page shows.
type signInForm struct {
	Centres []*Centre
	Login   string
	Next    string
}

func (d *Desk) signInPage(w http.ResponseWriter, r *http.Request) {
	d.showSignIn(w, http.StatusOK, "", signInForm{Next: r.URL.Query().Get("dalej")})
}

func (d *Desk) showSignIn(w http.ResponseWriter, status int, problem string, f signInForm) {
	for i := range d.o.Centres {
		f.Centres = append(f.Centres, &d.o.Centres[i])
	}
	p := d.frame(nil, "Logowanie", f)
	p.Problem = problem
	d.pages.render(w, status, "logowanie", p)
}

// maxForm bounds the forms of the desk, octets.
const maxForm = 64 << 10

func (d *Desk) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := signInForm{Login: r.PostFormValue("login"), Next: r.PostFormValue("dalej")}
	id := r.PostFormValue("osrodek")
	if id == "" && len(d.o.Centres) == 1 {
		id = string(d.o.Centres[0].Config.ID)
	}
	c := d.centre(id)
	if c == nil {
		d.showSignIn(w, http.StatusBadRequest, "Wybierz ośrodek.", f)
		return
	}
	token, p, err := c.People.SignIn(r.Context(), f.Login, r.PostFormValue("haslo"), address(r))
	switch {
	case errors.Is(err, people.ErrWait):
		d.showSignIn(w, http.StatusTooManyRequests, "Zbyt wiele nieudanych prób. Odczekaj kilka minut i spróbuj ponownie.", f)
		return
	case errors.Is(err, people.ErrRefused):
		d.trail(c).Access(r.Context(), sekretariat.AccessData{Principal: "unknown", Action: "sign-in", Allowed: false})
		d.showSignIn(w, http.StatusForbidden, "Niepoprawny login lub hasło.", f)
		return
	case err != nil:
		d.fail(w, r, nil, err)
		return
	}
	d.trail(c).Access(r.Context(), sekretariat.AccessData{Principal: p.ID, Action: "sign-in", Allowed: true})
	http.SetCookie(w, d.cookie(r, id+"."+token, 0))
	http.Redirect(w, r, local(f.Next), http.StatusSeeOther)
}

func (d *Desk) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// local keeps a redirect on this page: a path of ours, nothing a browser could
// take for another host.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") {
		return "/"
	}
	return next
}

// address is who asks, for the guard against guessing.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (d *Desk) signOut(w http.ResponseWriter, r *http.Request) {
	if k, err := r.Cookie(cookieName); err == nil {
		id, token, _ := strings.Cut(k.Value, ".")
		if c := d.centre(id); c != nil {
			if err := c.People.SignOut(r.Context(), token); err != nil {
				d.fail(w, r, nil, err)
				return
			}
		}
	}
	http.SetCookie(w, d.cookie(r, "", -1))
	http.Redirect(w, r, "/logowanie", http.StatusSeeOther)
}
