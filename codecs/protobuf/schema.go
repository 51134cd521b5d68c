package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// schema returns what a message is made of: the names, numbers and types of all fields, all the way down. What doesn't change
// which messages there are is left out: options, comments, the values of enums. Extensions are not part of a message's type.
func schema(t reflect.Type) (string, error) {
	mt, err := typeOf(t)
	if err != nil {
		return "", err
	}
	return string(appendSchema(nil, mt.Descriptor(), make(map[protoreflect.FullName]bool))), nil
}

func appendSchema(b []byte, md protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) []byte {
	b = append(b, md.FullName()...)
	if seen[md.FullName()] {
		return b
	}
	seen[md.FullName()] = true
	b = append(b, '{')
	fields := md.Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		b = fmt.Appendf(b, "%s=%d:%v %v %t", fd.Name(), fd.Number(), fd.Cardinality(), fd.Kind(), fd.HasPresence())
		if oneof := fd.ContainingOneof(); oneof != nil {
			b = fmt.Appendf(b, " %s", oneof.Name())
		}
		if fd.HasDefault() {
			b = fmt.Appendf(b, " %q", fd.Default().String())
		}
		b = append(b, ' ')
		if e := fd.Enum(); e != nil {
			b = append(b, e.FullName()...)
		}
		if m := fd.Message(); m != nil {
			b = appendSchema(b, m, seen)
		}
		b = append(b, ';')
	}
	return append(b, '}')
}
