package session

import "chartkey/backend/away"

// lockWithTheSystem locks when the screen is locked or the computer sleeps.
func (s *Session) lockWithTheSystem() {
	away.Watch(s.ctx, away.Options{}, func(why away.Reason) { s.tellFailure(s.Lock(string(why))) })
}
