package workers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

// What follows is for the process that Start has started.

var (
	attend   sync.Once
	messages = make(chan []byte)
)

// Job reports whether this process is a worker, and stores its job in the value that job points to,
// unless job is nil. When the test that started it has ended, a worker has ten seconds to end as
// well, and exits with status 3 then.
func Job(job any) bool {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return false
	}
	if job != nil {
		if err := json.Unmarshal([]byte(text), job); err != nil {
			panic(fmt.Sprintf("workers: the job %s: %v", text, err))
		}
	}
	attend.Do(func() { go readMessages() })
	return true
}

// readMessages reads what the test sends until that has closed the pipe or has ended.
func readMessages() {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		messages <- line
	}
	close(messages)
	time.Sleep(grace)
	os.Exit(3)
}

// Next waits for a message of the test and stores it in the value that message points to. It returns
// false when there are no more. It is for workers, after Job.
func Next(message any) bool {
	line, ok := <-messages
	if !ok {
		return false
	}
	if err := json.Unmarshal(line, message); err != nil {
		panic(fmt.Sprintf("workers: the message %s: %v", line, err))
	}
	return true
}

// Reply sends a message to the test. It is for workers, after Job.
func Reply(message any) {
	text, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("workers: reply: %v", err))
	}
	if _, err := fmt.Printf("%s%s\n", mark, text); err != nil {
		os.Exit(3) // the test is gone
	}
}
