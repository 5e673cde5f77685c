package emulator

import (
	"net/http"
	"slices"
)

// anyLogin reports whether nothing says which logins are known.
func (o Options) anyLogin() bool {
	return len(o.Tokens)+len(o.Keys)+len(o.Users) == 0 && o.Agency == NoAgency
}

// unauthorised returns what the gateway says about the login of a request about the project, and
// whether it says anything.
func (e *Emulator) unauthorised(r *http.Request, project string) (answer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, secret := e.options.Now(), r.Header.Get("X-Auth-Token")
	if secret == "" && r.Header.Get("Authorization") != "" && !e.options.anyLogin() {
		if err := e.keys.check(r, now); err != nil {
			return documentedError(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information: "+err.Error()), true
		}
		if named := r.Header.Get("X-Project-Id"); named != "" && named != project {
			return documentedError(http.StatusForbidden, "ModelArts.0210", "The project differs from the one in X-Project-Id."), true
		}
		return answer{}, false
	}
	t := e.iam.tokens[secret]
	switch {
	case secret == "":
		return documentedError(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"), true
	case e.options.anyLogin(), slices.Contains(e.options.Tokens, secret):
	case t == nil, !now.Before(t.expires):
		return documentedError(http.StatusUnauthorized, "APIGW.0307", "The token must be updated."), true
	case t.project != project:
		return documentedError(http.StatusForbidden, "ModelArts.0210", "The project differs from the token's."), true
	}
	return answer{}, false
}
