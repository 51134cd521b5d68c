package protobuf

import "google.golang.org/protobuf/reflect/protoreflect"

// SchemaOf is the schema of messages with a descriptor.
func SchemaOf(md protoreflect.MessageDescriptor) string {
	return string(appendSchema(nil, md, make(map[protoreflect.FullName]bool)))
}
