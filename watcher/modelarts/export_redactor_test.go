package modelarts

// A Redactor is what hides secrets in answers.
type Redactor struct{ *redactor }

// NewRedactor returns what hides these secrets.
func NewRedactor(secrets ...string) Redactor { return Redactor{newRedactor(secrets)} }

// Hide returns the text without the secrets.
func (r Redactor) Hide(text string) string { return r.hide(text) }
