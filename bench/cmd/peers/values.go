package main

import (
	"context"
	"fmt"
	"strings"
)

// A load is a function to cache, and the same function cached.
type load[V any] func(ctx context.Context, id int64, lang string) (V, error)

// place is a small value without pointers to what can be changed.
type place struct {
	ID       int64
	Name     string
	Lat, Lon float64
}

func loadPlace(ctx context.Context, id int64, lang string) (place, error) {
	return place{ID: id, Name: lang, Lat: 41.9, Lon: 12.5}, nil
}

// page is a value of 1 KiB with a slice.
type page struct {
	ID    int64
	Title string
	Body  string
	Tags  []string
}

var body = strings.Repeat("All roads lead to Rome. ", 40)

func loadPage(ctx context.Context, id int64, lang string) (page, error) {
	return page{ID: id, Title: lang, Body: body, Tags: []string{"city", "capital", "history", "food"}}, nil
}

func loadPlaces(ctx context.Context, id int64, lang string) ([]place, error) {
	places := make([]place, 100)
	for i := range places {
		places[i] = place{ID: id + int64(i), Name: names[i], Lat: 41.9, Lon: 12.5}
	}
	return places, nil
}

var names = func() (names [100]string) {
	for i := range names {
		names[i] = fmt.Sprint("place ", i)
	}
	return names
}()
