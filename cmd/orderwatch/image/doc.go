// Package image holds the image of a release: its root, unpacked, runs the worker and the page as the manifests want it, without
// rights and without a place to write. It consists of tests with the tag release, which .ci/run release runs on what it
// has made; they need umoci and bubblewrap.
package image
