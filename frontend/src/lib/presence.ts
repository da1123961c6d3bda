const signs = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'scroll', 'click', 'input'];

/** Calls touch when a person does something, at most once in `every` milliseconds, until the returned function is called. */
export function watchPresence(touch: () => void, every = 10_000): () => void {
  let last = -Infinity;
  const seen = (event: Event) => {
    // What moves under a pointer that lies still is no person.
    if (event instanceof PointerEvent && event.type === 'pointermove' && !event.movementX && !event.movementY) return;
    const now = Date.now();
    if (now - last < every && now >= last) return;
    last = now;
    touch();
  };
  const listen = { capture: true, passive: true };
  for (const sign of signs) addEventListener(sign, seen, listen);
  return () => signs.forEach((sign) => removeEventListener(sign, seen, listen));
}
