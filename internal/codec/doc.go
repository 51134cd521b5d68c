// Package codec encodes Go values so that they decode to exactly what they were, or says that it can't.
package codec
