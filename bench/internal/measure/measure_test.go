package measure

import "testing"

func TestSpreadOf(t *testing.T) {
	tests := []struct {
		values []float64
		want   Spread
	}{
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{2, 1}, Spread{1.25, 1.5, 1.75}},
		{[]float64{5, 1, 2, 4, 3}, Spread{2, 3, 4}},
		{[]float64{1, 1, 1, 1, 100}, Spread{1, 1, 1}},
	}
	for _, test := range tests {
		if got := SpreadOf(test.values); got != test.want {
			t.Errorf("%v: got %v, want %v", test.values, got, test.want)
		}
	}
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0.123: "0.12", 12.34: "12.3", 1234.5: "1234"} {
		if got := Figure(x); got != want {
			t.Errorf("%v: got %s, want %s", x, got, want)
		}
	}
}
