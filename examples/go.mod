module github.com/cacheutils/cacheutils/examples

go 1.25.0

require (
	github.com/cacheutils/cacheutils v0.0.0
	github.com/google/uuid v1.6.0
	github.com/oklog/ulid/v2 v2.1.2
	github.com/samber/mo v1.16.0
	github.com/shopspring/decimal v1.6.0
	github.com/sirupsen/logrus v1.10.2
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/bradfitz/gomemcache v0.0.0-20260422231931-4d751bb6e37c // indirect
	github.com/cacheutils/cacheutils/codecs/protobuf v0.0.0
	github.com/klauspost/compress v1.20.4 // indirect
	github.com/maypok86/otter/v2 v2.4.0 // indirect
	github.com/sony/gobreaker/v2 v2.4.0 // indirect
	github.com/twmb/murmur3 v1.1.8 // indirect
	golang.org/x/sys v0.13.0 // indirect
)

replace github.com/cacheutils/cacheutils => ../

replace github.com/cacheutils/cacheutils/codecs/protobuf => ../codecs/protobuf
