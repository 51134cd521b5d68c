// Package messages caches what the methods of a gRPC service return: protobuf messages, also as requests in the key.
package messages

import (
	"context"
	"time"

	_ "github.com/cacheutils/cacheutils/codecs/protobuf" // lets messages be cached
	"github.com/cacheutils/cacheutils/decorators"
	"github.com/cacheutils/cacheutils/examples/messages/citypb"
)

// A Database has the names of cities.
type Database interface {
	Name(ctx context.Context, id int64, lang string) (string, error)
	Rename(ctx context.Context, id int64, lang, name string) error
}

// A Server has methods as gRPC's generated code wants them.
type Server struct {
	db     Database
	city   func(ctx context.Context, q *citypb.GetCityRequest) (*citypb.City, error)
	cities *decorators.Handle1[*citypb.GetCityRequest, *citypb.City]
}

// NewServer returns a server of a database.
func NewServer(db Database, opts ...decorators.Option) *Server {
	s := &Server{db: db}
	s.city, s.cities = decorators.Cached1(s.load, append([]decorators.Option{decorators.Key("get-city"), decorators.Timeout(time.Hour)}, opts...)...)
	return s
}

// GetCity returns a city. Callers may change what they get.
func (s *Server) GetCity(ctx context.Context, q *citypb.GetCityRequest) (*citypb.City, error) {
	return s.city(ctx, q)
}

func (s *Server) load(ctx context.Context, q *citypb.GetCityRequest) (*citypb.City, error) {
	name, err := s.db.Name(ctx, q.GetId(), q.GetLang())
	if err != nil {
		return nil, err
	}
	return &citypb.City{Id: q.GetId(), Name: name, Tags: []string{"sea"}}, nil
}

// RenameCity gives a city another name in a language.
func (s *Server) RenameCity(ctx context.Context, q *citypb.RenameCityRequest) (*citypb.City, error) {
	if err := s.db.Rename(ctx, q.GetId(), q.GetLang(), q.GetName()); err != nil {
		return nil, err
	}
	// What is computed here is stored in place of what was cached.
	return s.cities.ForceRecalc(ctx, &citypb.GetCityRequest{Id: q.GetId(), Lang: q.GetLang()})
}
