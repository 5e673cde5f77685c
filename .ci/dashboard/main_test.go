package main

import (
	"bytes"
	"os"
	"testing"
)

// TestUpToDate holds that the file in the chart is what this program prints.
func TestUpToDate(t *testing.T) {
	made, err := render()
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../deploy/helm/monitoring/dashboard.json"
	if there, err := os.ReadFile(path); err != nil || !bytes.Equal(there, made) {
		t.Errorf("%s is not what this program prints: run go run . >%s here (%v)", path, path, err)
	}
}

// TestStrict holds that the check refuses mistakes in each part of a dashboard.
func TestStrict(t *testing.T) {
	made, err := render()
	if err != nil {
		t.Fatal(err)
	}
	for name, mistake := range map[string][2]string{
		"dashboard":         {`"refresh":`, `"refreshes":`},
		"panel":             {`"gridPos":`, `"gridPosition":`},
		"query":             {`"legendFormat":`, `"legend":`},
		"options":           {`"displayMode":`, `"displaysMode":`},
		"kind of value":     {`"type": "stat"`, `"type": 7`},
		"variable":          {`"includeAll":`, `"includesAll":`},
		"link":              {`"targetBlank":`, `"target":`},
		"threshold":         {`"color": "red"`, `"colour": "red"`},
		"width of a panel":  {`"w": 24`, `"w": 25`},
		"not JSON anywhere": {`{`, ``},
	} {
		planted := bytes.Replace(made, []byte(mistake[0]), []byte(mistake[1]), 1)
		if bytes.Equal(planted, made) {
			t.Errorf("%s: the dashboard has no %s", name, mistake[0])
		}
		if check(planted) == nil {
			t.Errorf("%s: %s is not refused", name, mistake[1])
		}
	}
}
