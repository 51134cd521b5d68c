package decorators

// An Option says how the results of one function are cached. One that doesn't fit the
// function panics at Cached, with a message that says what to change.
type Option func(*options)

// options are what the options of one function say. Each group of them has a file: there are the options for
// users, with their doc, what they hold until the function is planned, what is checked then, and what comes of
// them in a call.
type options struct {
	nameOptions    // function.go
	backendOptions // plan.go
	keyOptions     // key.go
	paramOptions   // params.go
	groupOptions   // groups.go
	timeoutOptions // timeout.go
	resultOptions  // results.go
	staleOptions   // stale.go
	lingerOptions  // linger.go
	absentOptions  // absent.go
}
