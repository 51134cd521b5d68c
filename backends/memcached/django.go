package memcached

import (
	"slices"
	"strings"

	"github.com/cacheutils/cacheutils/engine"
)

func init() {
	engine.Register(engine.Driver{
		Names: []string{
			"memcached",
			"django.core.cache.backends.memcached.PyMemcacheCache",
			"django.core.cache.backends.memcached.PyLibMCCache",
			"django.core.cache.backends.memcached.MemcachedCache",
		},
		Open:   Open,
		Django: fromDjango,
	})
}

// djangoOptions are the options of Django's memcached backends and their clients, pymemcache and pylibmc, that are
// not options here, with the option that is meant. Without one they mean nothing here.
var djangoOptions = map[string]string{
	"max_pool_size": "max_conns",
	"timeout":       "read_timeout",

	"allow_unicode_keys": "", // they are as they are
	"dead_timeout":       "", // probe_interval is something else: nothing but probes is sent to a server that is down
	"encoding":           "",
	"ignore_exc":         "", // decorated calls ignore faults, explicit operations return them
	"pool_idle_timeout":  "",
	"retry_attempts":     "",
	"retry_timeout":      "",
	"use_pooling":        "", // there always is a pool

	"behaviors": "",
	"binary":    "",
	"password":  "",
	"username":  "",

	"cull_frequency": "",
	"max_entries":    "",
}

// fromDjango translates the OPTIONS of Django's backends. An option that is given by its name here as well stays.
func fromDjango(options map[string]any) (mapped map[string]any, leftOut []string) {
	mapped = make(map[string]any, len(options))
	for name, value := range options {
		meant, is := djangoOptions[strings.ToLower(name)]
		switch {
		case !is:
			mapped[name] = value
		case meant == "" || has(options, meant):
			leftOut = append(leftOut, name)
		default:
			mapped[meant] = value
		}
	}
	slices.Sort(leftOut)
	return mapped, leftOut
}

func has(options map[string]any, name string) bool {
	for given := range options {
		if strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}
