package endpoint_test

import (
	"strings"
	"testing"

	"github.com/orderwatch/orderwatch/watcher"
	"github.com/orderwatch/orderwatch/watcher/modelarts/endpoint"
)

// An order's URL lies below its endpoint, whatever the names are.
func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		template, project, name string
		want                    string // empty: none is safe
	}{
		{endpoint.Default, "p", "order.pool-1", "https://modelarts.cn-north-4.myhuaweicloud.com/v1/p/orders/order.pool-1"},
		{"http://127.0.0.1:8080/prefix/", "p", "a=b_c", "http://127.0.0.1:8080/prefix/v1/p/orders/a=b_c"},
		{"https://{region}.example", "p", "a/b?c#d", "https://cn-north-4.example/v1/p/orders/a%2Fb%3Fc%23d"},
		{"https://{region}.example", "p", "..", ""},
		{"https://{region}.example", ".", "a", ""},
	} {
		e, err := endpoint.New(tt.template, "cn-north-4")
		if err != nil {
			t.Fatal(err)
		}
		u, err := e.Order(watcher.Order{ProjectID: tt.project, Name: tt.name})
		if (err == nil) != (tt.want != "") || err == nil && (u.String() != tt.want || u.Host != e.Host || e.URL(strings.TrimPrefix(tt.want, e.URL(""))) != tt.want) {
			t.Errorf("%s of %s at %s: %v, %v; want %s", tt.name, tt.project, tt.template, u, err, tt.want)
		}
	}
}

// So does the URL of a project's orders.
func TestOrders(t *testing.T) {
	e, err := endpoint.New("https://{region}.example/prefix", "cn-north-4")
	if err != nil {
		t.Fatal(err)
	}
	for project, want := range map[string]string{"p": "https://cn-north-4.example/prefix/v1/p/orders", "a/b?c": "https://cn-north-4.example/prefix/v1/a%2Fb%3Fc/orders", "..": ""} {
		if u, err := e.Orders(project); (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%s: %v, %v; want %s", project, u, err, want)
		}
	}
}

// What is no endpoint is refused, and no error shows a password in it.
func TestNewRefuses(t *testing.T) {
	for _, tt := range []struct{ template, region string }{
		{"https://user:planted@modelarts.example", "r"}, {"https://modelarts.example/?token=planted", "r"}, {"https://modelarts.example/#planted", "r"},
		{"ftp://planted", "r"}, {"planted", "r"}, {"https://", "r"}, {"https://pl\x00anted", "r"}, {"https://{planted}.example", "r"}, {"https://a.example/../planted", "r"},
		{endpoint.Default, ""}, {endpoint.Default, "R"}, {endpoint.Default, "a/b"}, {endpoint.Default, "a.evil.example"}, {endpoint.Default, strings.Repeat("a", 65)},
	} {
		if e, err := endpoint.New(tt.template, tt.region); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%q, region %q: %+v, %v", tt.template, tt.region, e, err)
		}
	}
}

// Only what is not encrypted and leaves the machine is exposed.
func TestExposed(t *testing.T) {
	for base, want := range map[string]bool{
		"https://modelarts.example": false, "http://modelarts.example": true, "http://10.0.0.1": true, "http://169.254.169.254": true,
		"http://127.0.0.1:8080": false, "http://[::1]:8080": false, "http://localhost": false, "http://localhost.example": true,
	} {
		e, err := endpoint.At(base)
		if err != nil || e.Exposed() != want {
			t.Errorf("%s: exposed %t, %v", base, e.Exposed(), err)
		}
	}
}
