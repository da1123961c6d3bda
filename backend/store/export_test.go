package store

import (
	"context"
	"database/sql"
	"path/filepath"
)

// Pragma reads one pragma on a fresh connection made as Open makes them.
func Pragma(ctx context.Context, folder, name string) (string, error) {
	db, err := sql.Open("sqlite", dsn(filepath.Join(folder, FileName)))
	if err != nil {
		return "", err
	}
	defer db.Close()
	var value string
	err = db.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}
