// Package v2 has a dot in the last element of its path.
package v2

type Place struct{ ID int }

func (p Place) Area(scale int) int { return p.ID * scale }

func Load(id int) int { return id }

func Loader() func(int) int {
	return func(id int) int { return id }
}
