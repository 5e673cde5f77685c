package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify"
	"github.com/orderwatch/orderwatch/watcher"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"access key HPUAEXAMPLEACCESSKEY is disabled":                                             "access key [access key] is disabled",
		"sign with sk=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY0 failed":                           "",
		"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXBhcnQ expired":  "",
		"cannot pull https://user:hunter2secret@registry.example/v2/":                             "",
		"GET https://obs.example/b/o?AccessKeyId=ABCD&Expires=1700000000&Signature=a%2Bb%3D gone": "",
		"password=hunter2secret was refused":                                                      "",
		"owner jane@example.com has no quota":                                                     "owner [e-mail] has no quota",
		"token xoxb-123456789012-abcdefghijklmnop is bad":                                         "",
	} {
		got := notify.Redact(text)
		if want != "" && got != want || got == text {
			t.Errorf("%q is shown as %q; want %q", text, got, want)
		}
		for _, secret := range []string{"HPUAEXAMPLE", "wJalrXUtn", "eyJhbGci", "hunter2", "a%2Bb", "jane@", "xoxb-1"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q shows %s", got, secret)
			}
		}
		if again := notify.Redact(got); again != got {
			t.Errorf("redacted again it is %q", again)
		}
	}
}

// TestRedactLeaves holds that what people need to find the cause stays.
func TestRedactLeaves(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"flavor modelarts.vm.gpu.tnt004 sold out in cn-north-4a",
		"os-node-created-8jsnk: The volume quota of the project 6f5da086876d4cd084d36f8bd3346036 is exceeded.",
		"Ecs.0319: the number of vCPUs exceeds the quota (used 192, limit 200)",
		"subnet 0b7f9a3e-5c1d-4a52-9d1a-3f0d2f6e7c11 has no free IP addresses (10.0.3.0/24)",
		"image swr.cn-north-4.myhuaweicloud.com/ai/train@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 not found",
		"request 4e5f6a7b8c9d0e1f2a3b4c5d6e7f8091 timed out after 300s at 2025-04-10T12:01:19Z",
		"dial tcp 192.0.2.7:443: connect: connection refused",
		"node pool-9495-6f5da086876d4cd084d36f8bd3346036 did not join: kubelet is not ready",
		"EVS.5400: the disk type SSD is sold out in the availability zone",
		"The token must be updated.",
		"the access key is disabled",
		"secret default/registry not found in namespace kube-system",
	} {
		if got := notify.Redact(text); got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

// BenchmarkRedact looks through the failures' messages of an order, each of 1,000 bytes, and through one
// of 100 KB.
func BenchmarkRedact(b *testing.B) {
	for _, messages := range []int{12, 1000, 5000} {
		b.Run(fmt.Sprintf("%d messages", messages), func(b *testing.B) {
			var texts []string
			for _, f := range distinct(messages) {
				texts = append(texts, f.Message)
				b.SetBytes(int64(messages * len(f.Message)))
			}
			for b.Loop() {
				for _, text := range texts {
					notify.Redact(text)
				}
			}
		})
	}
	b.Run("100 KB", func(b *testing.B) {
		text := strings.Repeat("create server 1f-9bb1 failed: password=hunter2 was refused for jane@example.com; ", 1264)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			notify.Redact(text)
		}
	})
}

// BenchmarkRedactLong looks through texts of 8 MiB that are full of what secrets begin with.
func BenchmarkRedactLong(b *testing.B) {
	for _, part := range []string{"create server failed; ", "key=", "ak:", "://", "://a:b", "https://u:p@", "secret:", "-----BEGIN ", "eyJ.%"} {
		b.Run(part, func(b *testing.B) {
			text := strings.Repeat(part, longText/len(part))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				notify.Redact(text)
			}
		})
	}
}

const longText = 8 << 20

// TestConfiguredSecrets holds that each configured secret of 8 bytes or more goes, the longest of those that
// begin at one place first, and each part of 12 bytes or more, also out of long texts that are much like them.
func TestConfiguredSecrets(t *testing.T) {
	t.Parallel()
	letters := strings.Repeat("s", 12<<10)
	for name, tt := range map[string]struct {
		secrets       []string
		message, want string
	}{
		"none":              {nil, "disk is full", "disk is full"},
		"an empty one":      {[]string{""}, "disk is full", "disk is full"},
		"one":               {[]string{"planted1"}, "planted1 disk planted1", "[secret] disk [secret]"},
		"a short one":       {[]string{"planted"}, "planted disk", "planted disk"}, // it may be a word
		"a part of one":     {[]string{"planted-in-a-text"}, "planted-in-a disk", "[secret] disk"},
		"two side by side":  {[]string{"planted1", "the disk"}, "the diskplanted1", "[secret][secret]"},
		"one begins other":  {[]string{"planted1", "planted1 disk"}, "a planted1 disk", "a [secret]"},
		"one ends other":    {[]string{"the disk", "planted the disk"}, "a planted the disk", "a [secret]"},
		"they overlap":      {[]string{"planted disk", "disk is full"}, "planted disk is full", "[secret]"},
		"the word for it":   {[]string{"[secret]"}, "a [secret] [secret]", "a [secret] [secret]"},
		"long, and not it":  {[]string{letters + "t", letters + "u"}, "disk " + strings.Repeat("t", longText), "disk ttt"},
		"long, and parts":   {[]string{letters + "t", letters + "u"}, "disk " + strings.Repeat("s", longText), "disk [secret]"},
		"long, and nearly":  {[]string{"t" + letters, "planted1"}, "planted1 " + strings.Repeat(letters[1:]+"t", longText/len(letters)), "[secret] [secret]"},
		"long, many times":  {[]string{letters}, "disk " + strings.Repeat(letters, longText/len(letters)), "disk [secret]"},
		"long, with others": {[]string{"planted1", letters + "t"}, "disk planted1 " + strings.Repeat("s", longText), "disk [secret] [secret]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var written bytes.Buffer
			log := notify.NewLog(slog.New(slog.NewJSONHandler(&written, nil)), tt.secrets...)
			if err := log.Attend(t.Context(), watcher.Attention{Kind: watcher.Overdue, Reason: tt.message}); err != nil {
				t.Fatal(err)
			}
			var got struct{ Reason string }
			if err := json.Unmarshal(written.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got.Reason, tt.want) {
				t.Errorf("got %.100q, want %q", got.Reason, tt.want)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("key HPUAEXAMPLEACCESSKEY password=x https://a:b@c/?Signature=x jane@example.com")
	f.Fuzz(func(t *testing.T, text string) {
		once := notify.Redact(text)
		if again := notify.Redact(once); again != once {
			t.Errorf("%q, then %q", once, again)
		}
		planted := "password=Tr0ub4dor&3x"
		if shown := notify.Redact(text + "\n" + planted); strings.Contains(shown, "Tr0ub4dor") {
			t.Errorf("%q shows the password", shown)
		}
	})
}
