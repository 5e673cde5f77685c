package redact_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/notify/redact"
	"github.com/orderwatch/orderwatch/watcher/watchertest"
)

func TestText(t *testing.T) {
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
		got := redact.Text(text)
		if want != "" && got != want || got == text {
			t.Errorf("%q is shown as %q; want %q", text, got, want)
		}
		for _, secret := range []string{"HPUAEXAMPLE", "wJalrXUtn", "eyJhbGci", "hunter2", "a%2Bb", "jane@", "xoxb-1"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q shows %s", got, secret)
			}
		}
		if again := redact.Text(got); again != got {
			t.Errorf("redacted again it is %q", again)
		}
	}
}

// TestTextLeaves holds that what people need to find the cause stays.
func TestTextLeaves(t *testing.T) {
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
		if got := redact.Text(text); got != text {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

// BenchmarkText looks through the failures' messages of an order, each of 1,000 bytes, and through one
// of 100 KB.
func BenchmarkText(b *testing.B) {
	for _, messages := range []int{12, 1000, 5000} {
		b.Run(fmt.Sprintf("%d messages", messages), func(b *testing.B) {
			var texts []string
			for _, f := range watchertest.Distinct(messages) {
				texts = append(texts, f.Message)
				b.SetBytes(int64(messages * len(f.Message)))
			}
			for b.Loop() {
				for _, text := range texts {
					redact.Text(text)
				}
			}
		})
	}
	b.Run("100 KB", func(b *testing.B) {
		text := strings.Repeat("create server 1f-9bb1 failed: password=hunter2 was refused for jane@example.com; ", 1264)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			redact.Text(text)
		}
	})
}

// BenchmarkTextLong looks through texts of 8 MiB that are full of what secrets begin with.
func BenchmarkTextLong(b *testing.B) {
	for _, part := range []string{"create server failed; ", "key=", "ak:", "://", "://a:b", "https://u:p@", "secret:", "-----BEGIN ", "eyJ.%"} {
		b.Run(part, func(b *testing.B) {
			text := strings.Repeat(part, longText/len(part))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				redact.Text(text)
			}
		})
	}
}

const longText = 8 << 20

func FuzzText(f *testing.F) {
	f.Add("key HPUAEXAMPLEACCESSKEY password=x https://a:b@c/?Signature=x jane@example.com")
	f.Fuzz(func(t *testing.T, text string) {
		once := redact.Text(text)
		if again := redact.Text(once); again != once {
			t.Errorf("%q, then %q", once, again)
		}
		planted := "password=Tr0ub4dor&3x"
		if shown := redact.Text(text + "\n" + planted); strings.Contains(shown, "Tr0ub4dor") {
			t.Errorf("%q shows the password", shown)
		}
	})
}
