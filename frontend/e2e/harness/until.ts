/** Asks again and again until it gets an answer; fails with `what` at the deadline. */
export async function until<T>(
  what: string | (() => string),
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  { within = 30_000, every = 50 } = {},
): Promise<T> {
  const deadline = Date.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`${typeof what === 'string' ? what : what()}, not within ${within / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
