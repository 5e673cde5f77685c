// Package browser holds the tests of the page in a real browser: Chromium looks at the page's own process, while a worker, a
// nats-server and the stand-in for ModelArts make what there is to see. It has no code of its own.
//
// Its tests have the build tag page: `.ci/run page` runs them, and `.ci/run screenshots FOLDER` makes the pictures. Read
// scene_test.go first (the processes, and what is watched), then tab_test.go (what a test can do in a tab of the browser, and what
// each tab is held to: no error in the console, nothing that the content security policy stopped, no script of others). Then any
// test: live_test.go, visit_test.go (links, filters, pages), act_test.go (logins and actions), fit_test.go (sizes, schemes, axe),
// hostile_test.go, and pictures_test.go.
package browser
