// Package cacheutils holds the error values and constants that the packages below it share.
// Its doc is the tour of the module.
package cacheutils
