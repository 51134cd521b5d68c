package decorators

// An Option says how the results of one function are cached. One that doesn't fit the
// function panics at Cached, with a message that says what to change. Of an option that is given twice the last one
// counts, so that a wrapper can add options of its own after those that it is given; Group, Ignore, ObjectAttrs and
// IgnoreContext add to what was said before, and a second ContextKey is refused.
type Option func(*options)

// options are what the options of one function say. Options that belong together have a file, which has the
// options for users with their doc, what they hold until the function is planned, the checks that are made
// then, and what they do in a call.
type options struct {
	nameOptions    // function.go
	backendOptions // plan.go
	keyOptions     // key.go
	paramOptions   // params.go
	groupOptions   // groups.go
	timeoutOptions // timeout.go
	bypassOptions  // bypass.go
	resultOptions  // results.go
	errorOptions   // errors.go
	staleOptions   // stale.go
	lingerOptions  // linger.go
	absentOptions  // absent.go
	contextOptions // contextkey.go
	readOptions    // contextread.go
	codecOptions   // codec.go
}
