package protobuf_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	_ "github.com/cacheutils/cacheutils/codecs/protobuf"
	"github.com/cacheutils/cacheutils/decorators"
)

// An answer of a service, for a request.
func Example() {
	answer := func(ctx context.Context, request *timestamppb.Timestamp) (*durationpb.Duration, error) {
		fmt.Println("computing")
		return &durationpb.Duration{Seconds: request.Seconds / 2}, nil
	}
	Answer, answers := decorators.Cached1(answer, decorators.Key("answer"))

	ctx := context.Background()
	for range 2 {
		d, err := Answer(ctx, &timestamppb.Timestamp{Seconds: 84})
		fmt.Println(d.AsDuration(), err)
	}
	fmt.Println(answers.CacheKey(&timestamppb.Timestamp{Seconds: 84}))
	// Output:
	// computing
	// 42s <nil>
	// 42s <nil>
	// [cached]answer((*timestamppb.Timestamp('google.protobuf.Timestamp{seconds:84}'),)) <nil>
}
