package memcached

import (
	"maps"
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

// djangoOptions are the options of Django's memcached backends and their clients, pymemcache, pylibmc and
// python-memcached, with the option that is meant here. Without one they mean nothing here.
//
// What is not in the list would change where or under which keys entries are, or how they are sent, and is an error as
// any unknown option: hasher, key_prefix, socket_module, tls_context.
var djangoOptions = map[string]string{
	"connect_timeout":         "connect_timeout",
	"max_pool_size":           "max_conns",
	"server_max_value_length": "max_item_size",
	"socket_timeout":          "read_timeout",
	"timeout":                 "read_timeout",

	"password": "password", // unless they are those of SASL
	"username": "username",

	"allow_unicode_keys": "", // they are as they are
	"dead_timeout":       "", // probe_interval is something else: nothing but probes is sent to a server that is down
	"default_noreply":    "",
	"deserializer":       "",
	"encoding":           "",
	"ignore_exc":         "", // decorated calls ignore faults, explicit operations return them
	"lock_generator":     "",
	"pool_idle_timeout":  "",
	"retry_attempts":     "",
	"retry_timeout":      "",
	"serde":              "", // values are encoded here as their types say
	"serializer":         "",
	"socket_keepalive":   "",
	"use_pooling":        "", // there always is a pool

	"behaviors": "",
	"binary":    "",

	"cache_cas":             "",
	"check_keys":            "",
	"dead_retry":            "",
	"debug":                 "",
	"flush_on_reconnect":    "",
	"pickleprotocol":        "",
	"server_max_key_length": "",

	"cull_frequency": "",
	"max_entries":    "",
}

// fromDjango translates the OPTIONS of Django's backends, whose times are numbers of seconds. One that is nil is as
// if it were not given, as in Python. An option that is given by its name here as well stays.
//
// With pylibmc's binary, the user and the password are those of SASL, which memcached has in its binary protocol alone, and
// are left out. Without, pylibmc refuses them, and they are the login for memcached -Y.
func fromDjango(options map[string]any) (mapped map[string]any, leftOut []string) {
	r := engine.ReadOptions("", options)
	isSASL := r.Given("binary") && r.Bool("binary", true)
	mapped = make(map[string]any, len(options))
	for _, name := range slices.Sorted(maps.Keys(options)) {
		value := options[name]
		meant, is := djangoOptions[strings.ToLower(name)]
		switch {
		case !is:
			mapped[name] = value
		case value == nil:
		case isSASL && (meant == "username" || meant == "password"):
			leftOut = append(leftOut, name)
		case meant == "" || !strings.EqualFold(meant, name) && has(options, meant):
			leftOut = append(leftOut, name)
		default:
			if d, isNumber := engine.Seconds(value); isNumber && strings.HasSuffix(meant, "_timeout") {
				value = min(d, longestTimeout) // operation_timeout ends it sooner, anyway
			}
			mapped[meant] = value
		}
	}
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
