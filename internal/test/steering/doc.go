// Package steering has the tests of what a context says of all cached calls under it: cacheutils.Bypass and
// cacheutils.Refresh.
package steering
