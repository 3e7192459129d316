package fence_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/conchlock/conch/fence"
)

// token stands for fence.Token(hold.Token()).
const token fence.Token = 33

// temporary returns a path for an example, and what removes it.
func temporary(name string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "fence")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, name), func() { os.RemoveAll(dir) }
}

func ExampleFile_WriteFile() {
	path, remove := temporary("report.csv")
	defer remove()
	ctx := context.Background()

	// token is fence.Token(hold.Token())
	report, err := fence.OpenFile(path) // its fence is report.csv.fence
	if err != nil {
		log.Fatal(err)
	}
	if err := report.WriteFile(ctx, "nightly-report", token, []byte("a,b\n1,2\n"), 0o644); err != nil {
		log.Fatal(err)
	}

	// Somebody who was paused, and whose hold has ended since.
	err = report.WriteFile(ctx, "nightly-report", 32, []byte("too late\n"), 0o644)
	fmt.Println(errors.Is(err, fence.ErrStale))
	fmt.Println(err)
	// Output:
	// true
	// fence: lock "nightly-report": token 32 is refused, as 33 was here: that hold has ended and others have entered since; lock again, read again what the write rests on, and write with the new token
}

// What is read to be written again is read under the same token.
func ExampleFile_Do() {
	path, remove := temporary("counter")
	defer remove()
	ctx := context.Background()

	counter, err := fence.OpenFile(path)
	if err != nil {
		log.Fatal(err)
	}
	err = counter.Do(ctx, "counter", token, func() error {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.WriteFile(path, append(text, '|'), 0o644)
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleHTTP() {
	put := func(w http.ResponseWriter, r *http.Request) {
		lock, token, _ := fence.FromContext(r.Context())
		fmt.Fprintf(w, "written, under %s with token %d\n", lock, token)
	}
	store := new(fence.Memory) // fence.OpenDirectory, if what is written stays

	guard := fence.HTTP{Store: store, Lock: func(r *http.Request) string { return "article/" + r.PathValue("id") }}
	mux := http.NewServeMux()
	mux.Handle("PUT /articles/{id}", guard.Handler(http.HandlerFunc(put)))

	server := httptest.NewServer(mux)
	defer server.Close()
	for _, token := range []fence.Token{33, 34, 33} {
		request, err := http.NewRequest(http.MethodPut, server.URL+"/articles/7", strings.NewReader("text"))
		if err != nil {
			log.Fatal(err)
		}
		fence.SetHeader(request.Header, "article/7", token)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		first, _, _ := bytes.Cut(body, []byte(":"))
		fmt.Printf("%d, %s\n", answer.StatusCode, bytes.TrimSpace(first))
	}
	// Output:
	// 200, written, under article/7 with token 33
	// 200, written, under article/7 with token 34
	// 412, fence
}

// The handler checks by itself, where it writes.
func ExampleHTTP_handlerChecks() {
	var db *sql.DB

	guard := fence.HTTP{Lock: func(r *http.Request) string { return "ledger" }} // no Store
	http.Handle("POST /ledger", guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lock, token, _ := fence.FromContext(r.Context())
		err := fence.InTx(r.Context(), db, nil, lock, token, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(r.Context(), "INSERT INTO ledger (amount) VALUES ($1)", r.FormValue("amount"))
			return err
		})
		switch {
		case err == nil:
			w.WriteHeader(http.StatusCreated)
		case fence.WriteError(w, err): // 412
		default:
			http.Error(w, "try again later", http.StatusInternalServerError)
		}
	})))
}

func ExampleInTx() {
	var db *sql.DB
	ctx := context.Background()

	if err := fence.CreateTable(ctx, db); err != nil { // once, or with your migrations: fence.Schema
		log.Fatal(err)
	}
	err := fence.InTx(ctx, db, nil, "ledger", token, func(tx *sql.Tx) error {
		var balance int // read after the check, so by nobody older to be changed any more
		if err := tx.QueryRowContext(ctx, "SELECT balance FROM accounts WHERE id = 7").Scan(&balance); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = $1 WHERE id = 7", balance+10)
		return err
	})
	if errors.Is(err, fence.ErrStale) {
		fmt.Println("the hold has ended: lock again")
	}
}
