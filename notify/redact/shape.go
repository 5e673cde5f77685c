package redact

import "strings"

// A shape is a kind of secret that is known by how it begins.
type shape struct {
	begins string // in the table below one beginning or several, with blanks between them
	least  int    // length of the whole, at least
	of     byte   // what may follow
	label  string
}

// shapes are what the makers of each publish of their formats. Those of one first byte are tried in turn.
var shapes = shapesByByte([]shape{
	{"AGE-SECRET-KEY-1", 40, alnum, hiddenPrivateKey},
	{"AIza", 35, base64, hiddenToken},                  // Google
	{"AKIA ASIA", 16, upper | digit, hiddenAccessKey},  // AWS, the second temporary
	{"HPUA HSTA", 20, upper | digit, hiddenAccessKey},  // Huawei Cloud, the second temporary
	{"LTAI", 16, alnum, hiddenAccessKey},               // Alibaba Cloud
	{"MII", 40, base64 | inside, hiddenToken},          // ASN.1 in base64: IAM tokens, keys without their header
	{"dckr_pat_", 24, base64, hiddenToken},             // Docker Hub
	{"eyJ", 20, inToken, hiddenToken},                  // JSON in base64: JWTs, also cut ones, and registry logins
	{"ghp_ gho_ ghu_ ghr_", 24, alnum, hiddenToken},    // GitHub
	{"ghs_", 24, inToken, hiddenToken},                 // GitHub
	{"github_pat_", 30, alnum | joiner, hiddenToken},   // GitHub
	{"glpat- glrt-", 20, base64 | inside, hiddenToken}, // GitLab
	{"glptt- gldt- glcbt-", 20, base64, hiddenToken},   // GitLab
	{"hf_", 30, alnum, hiddenToken},                    // Hugging Face
	{"hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/", 30, base64, hiddenWebhook},
	{"hvs.", 24, base64, hiddenToken}, // Vault
	{"npm_", 36, alnum, hiddenToken},
	{"nvapi-", 40, base64, hiddenToken}, // NVIDIA
	{"pypi-", 40, base64, hiddenToken},
	{"sk-", 24, base64, hiddenToken},
	{"xapp- xoxa- xoxb- xoxc- xoxe- xoxo- xoxp- xoxr- xoxs-", 15, base64, hiddenToken}, // Slack
	{"xoxd-", 15, inToken, hiddenToken},                                                // Slack
	{"xoxe.xox", 15, base64 | inside, hiddenToken},                                     // Slack
})

func shapesByByte(all []shape) (table [256][]shape) {
	for _, s := range all {
		for begins := range strings.FieldsSeq(s.begins) {
			s.begins = begins
			table[begins[0]] = append(table[begins[0]], s)
		}
	}
	return table
}

// Lengths of secrets that have no beginning of their own.
const (
	accessKeyLength = 20 // Huawei Cloud: capitals and digits
	secretKeyLength = 40 // Huawei Cloud: letters and digits; AWS: + and / too
	nkeyLength      = 58 // a NATS seed: capitals and digits, the first is S
	randomLength    = 60 // longer base64 is a token, whatever stands beside it
)

// word looks at the run of letters and digits that begins at i.
func (s *scan) word(i int) int {
	t := s.text
	for _, shape := range shapes[t[i]] {
		if end := shape.end(t[i:]); end > 0 {
			return s.hide(i, i+end, shape.label)
		}
	}
	if i >= s.run {
		var seen byte
		s.run, seen = runOf(t, i, base64)
		if label := longSecret(t, i, s.run, seen); label != "" {
			for s.run < len(t) && t[s.run] == '=' {
				s.run++
			}
			return s.hide(i, s.run, label)
		}
	}
	end, seen := runOf(t, i, alnum)
	switch n := end - i; {
	case n == accessKeyLength && seen&lower == 0 && accessKey(t, i, end):
		return s.hide(i, end, hiddenAccessKey)
	case n == secretKeyLength && seen == alnum && (random(t[i:end]) || near(t, i, keyWords)):
		return s.hide(i, end, hiddenSecretKey)
	case n == nkeyLength && seen == upper|digit && t[i] == 'S':
		return s.hide(i, end, hiddenPrivateKey)
	case n >= len("basic") && n <= len("negotiate"):
		return s.scheme(i, end)
	}
	return end
}

// end returns where the secret ends that the text begins with, 0 where it is none.
func (s shape) end(text string) int {
	if !strings.HasPrefix(text, s.begins) {
		return 0
	}
	end, _ := runOf(text, len(s.begins), s.of)
	for end > 0 && (text[end-1] == '.' || text[end-1] == '%') {
		end--
	}
	if end < s.least {
		return 0
	}
	return end
}

// longSecret returns the label of a run of base64 that is a secret by its length, empty where it is none.
func longSecret(t string, i, end int, seen byte) string {
	switch n := end - i; {
	case seen&alnum != alnum:
		return ""
	case n >= randomLength && random(t[i:end]):
		return hiddenToken
	case n == secretKeyLength && near(t, i, keyWords):
		return hiddenSecretKey
	}
	return ""
}

var (
	keyWords    = []string{"secret", "sk", "key"}
	accessWords = []string{"access", "ak", "accesskey", "accesskeyid"}
)

// accessKey reports whether twenty capitals and digits are an access key. The serial numbers of
// Huawei's servers are twenty as well, most of them digits; words have no digit.
func accessKey(t string, i, end int) bool {
	digits := 0
	for ; i < end; i++ {
		if classes[t[i]] == digit {
			digits++
		}
	}
	return digits > 0 && digits <= 11 || digits == 0 && near(t, end-accessKeyLength, accessWords)
}

// near reports whether one of the words stands before i, letters and digits in lower case.
func near(t string, i int, words []string) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(t[max(0, i-lookback):i]), func(r rune) bool {
		return r >= 0x80 || classes[r]&alnum == 0
	}) {
		for _, w := range words {
			if word == w || len(w) > 3 && strings.HasSuffix(word, w) {
				return true
			}
		}
	}
	return false
}

// random reports whether a text of letters and digits looks like drawn lots: capitals, small
// letters and digits, all in fair numbers, and changing all the time. In base64 62 % of the bytes
// are of another kind than the one before; in words and paths of any style far fewer.
func random(t string) bool {
	var counts [8]int
	changes := 0
	last := byte(0)
	for i := range len(t) {
		c := classes[t[i]] & alnum
		if c == 0 {
			continue
		}
		counts[c]++
		if c != last {
			changes++
		}
		last = c
	}
	n := counts[lower] + counts[upper] + counts[digit]
	return counts[lower]*10 >= n && counts[upper]*10 >= n && counts[digit]*33 >= n && changes*100 >= n*42
}

// scheme hides what follows the name of a way to log in, as in "Bearer …".
func (s *scan) scheme(i, end int) int {
	t := s.text
	label, of, needs := hiddenToken, byte(inToken), byte(digit)
	switch strings.ToLower(t[i:end]) {
	case "bearer":
	case "basic", "negotiate": // base64 of letters alone could be words
		label, of, needs = hiddenCredentials, alnum|inside, digit|inside
	default:
		return end
	}
	if end == len(t) || t[end] != ' ' {
		return end
	}
	to, seen := runOf(t, end+1, of)
	if to-end <= 12 || seen&letter == 0 || seen&needs == 0 {
		return end
	}
	return s.hide(end+1, to, label)
}

// privateKey hides a private key in PEM; one without an end hides all that follows.
func (s *scan) privateKey(i int) int {
	const begin, end, dashes = "-----BEGIN ", "-----END ", "-----"
	t := s.text
	if !strings.HasPrefix(t[i:], begin) {
		return i + 1
	}
	header := t[i+len(begin) : min(i+len(begin)+lookback, len(t))]
	header, _, _ = strings.Cut(header, dashes)
	if !strings.Contains(header, "PRIVATE KEY") {
		return i + len(begin)
	}
	at := strings.Index(t[i:], end)
	if at < 0 {
		return s.hide(i, len(t), hiddenPrivateKey)
	}
	to := i + at + len(end)
	if last := strings.Index(t[to:min(to+lookback, len(t))], dashes); last >= 0 {
		to += last + len(dashes)
	}
	return s.hide(i, to, hiddenPrivateKey)
}
