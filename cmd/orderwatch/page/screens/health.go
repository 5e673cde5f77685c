package screens

import "io"

// A HealthView is what the screen Health shows.
type HealthView struct {
	Common
}

var health = screen("health.html")

// Health writes the screen.
func Health(w io.Writer, v HealthView) error { return write(w, health, v) }

// HealthBody returns its fragments.
func HealthBody(v HealthView) ([]Fragment, error) { return fragments(health, v, "health") }
