package simulator

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

// pageTemplates are parsed when the program starts: a page that does not parse is a
// defect of the build, which the tests meet before anyone else does.
var pageTemplates = func() map[string]*template.Template {
	out := map[string]*template.Template{}
	for _, name := range []string{"signin", "choose", "consent", "error", "home"} {
		out[name] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/launch.html", "pages/"+name+".html"))
	}
	return out
}()

// page is what every template is given; each uses its part.
type page struct {
	Title, Page, Problem   string
	Session, FormToken     string
	App, User, Username    string
	Patient, Legend        string
	SignInURL, RedirectURI string
	Choices                []choice
	// Find narrows a list of patients, More tells how many it leaves out.
	Find     string
	More     int
	Accounts []Account

	FHIRBaseURL, Issuer, Secret string
	Patients                    int
	Clients                     []Client
	KeyClients                  []Client
	Launch                      launchForm
}

type choice struct{ ID, Title, Detail string }

// show renders a page. The template is run to the end first, so that a page never breaks off half way.
func show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	var b bytes.Buffer
	if err := pageTemplates[name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		judge(r, "the page %s failed: %v", name, err)
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy(p.RedirectURI))
	if name == "home" {
		h.Set("Content-Security-Policy", portalPolicy)
	}
	w.WriteHeader(status)
	// A browser that went away is no concern of the server's.
	_, _ = w.Write(b.Bytes())
}

// errorPage is the server's own page for what is never sent back to the app.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, status int, title, problem string) {
	judge(r, "own error page, nothing sent back: %s", problem)
	show(w, r, status, "error", page{Title: title, Page: "error", Problem: problem})
}

// pagePolicy lets a page load its stylesheet and nothing else. Chromium
// applies form-action to the redirect that follows a form too, so the
// app's callback must be named on the pages that may lead there.
func pagePolicy(redirectURI string) string {
	target := ""
	if u, err := url.Parse(redirectURI); err == nil && u.Scheme != "" {
		target = " " + u.Scheme + ":"
		// A policy cannot name an IPv6 host, and must not be split by one that holds its separators.
		if (u.Scheme == "http" || u.Scheme == "https") && !strings.ContainsAny(u.Host, "[];,' ") {
			target += "//" + u.Host
		}
	}
	return "default-src 'none'; style-src 'self'; form-action 'self'" + target + "; base-uri 'none'; frame-ancestors 'none'"
}

func (s *Server) stylesheet(w http.ResponseWriter, r *http.Request) {
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	cacheable(w)
	_, _ = w.Write(css)
}

// home launches apps, and says what this server is and how to use it.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	judge(r, "home page")
	s.renderHome(w, r, http.StatusOK, s.launchForm(r.URL.Query()), "")
}

func (s *Server) renderHome(w http.ResponseWriter, r *http.Request, status int, form launchForm, problem string) {
	var keyClients []Client
	for _, c := range s.Clients() {
		if c.Type == ConfidentialAsymmetric {
			keyClients = append(keyClients, c)
		}
	}
	show(w, r, status, "home", page{
		KeyClients: keyClients,
		Title:      "Chartkey sandbox", Page: "home", Problem: problem, FHIRBaseURL: s.FHIRBaseURL(), Issuer: s.issuer(), Secret: SandboxSecret,
		Patients: len(s.records.of("Patient")), Clients: s.Clients(), Accounts: publishedAccounts(), Launch: form,
	})
}
