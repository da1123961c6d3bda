package loopback

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// Page is what the browser shows at the end of a sign-in. Title and Message are
// plain text. They must hold no value from the query.
type Page struct {
	OK             bool
	Title, Message string
	// Next, where set, sends the browser on to another authorization request in
	// place of the page. The page is shown where the sign-in has ended meanwhile.
	Next *Next
}

// Next is an authorization request that follows on one that was refused.
type Next struct {
	URL string
	// State is that of the request, and new.
	State string
}

// The styles are inline so that a page is one answer, and allowed by their hash
// so that nothing else is.
const style = `
:root{color-scheme:light dark;--ink:#1c2430;--paper:#f6f7f9;--card:#fff;--line:#d9dee5;--good:#14693b;--bad:#9b1c1c}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf1;--paper:#12161c;--card:#1b212a;--line:#323b47;--good:#6fd39b;--bad:#ff9a92}}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{box-sizing:border-box;width:min(32rem,100% - 2rem);padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 .5rem;font-size:1.375rem;line-height:1.3}
p{margin:.5rem 0 0}
.good{color:var(--good)}
.bad{color:var(--bad)}
`

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} – Chartkey</title>
<style>` + style + `</style>
</head>
<body>
<main>
<div role="status">
<h1 class="{{if .OK}}good{{else}}bad{{end}}"><span aria-hidden="true">{{if .OK}}✓{{else}}✕{{end}}</span> {{.Title}}</h1>
{{with .Message}}<p>{{.}}</p>
{{end}}</div>
<p>You can close this tab and go back to Chartkey.</p>
</main>
</body>
</html>
`))

var contentSecurityPolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// protect sets what every answer carries: kept nowhere, framed by nobody, and
// no trace of its address given to another site.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// show writes p. An error means that the browser has gone, and nobody is left to tell.
func show(w http.ResponseWriter, status int, p Page) {
	if p.Title == "" {
		p.Title = "The sign-in did not work"
		if p.OK {
			p.Title = "You are signed in"
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p)
}
