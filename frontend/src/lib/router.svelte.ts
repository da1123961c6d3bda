export type Place =
  | { name: 'connections' }
  | { name: 'new'; fhirBaseURL?: string }
  | { name: 'registration'; id: string; section?: 'connection'; connect?: boolean }
  | { name: 'launches' }
  | { name: 'sandbox' }
  | { name: 'activity' }
  | { name: 'people' }
  | { name: 'settings' };

/** Which place is open. Leaving a place that holds unsaved edits asks first. */
class Router {
  current = $state.raw<Place>({ name: 'connections' });
  /** Counts visits, so that going to the same place again builds it anew. */
  visit = $state(0);
  /** Where the user wants to go while unsaved edits hold them. */
  asked = $state.raw<Place>();
  #unsaved: (() => boolean) | undefined;

  go(to: Place): void {
    if (this.#unsaved?.()) {
      this.asked = to;
      return;
    }
    this.#move(to);
  }

  /** Drops the unsaved edits and goes where the user wanted to. */
  discard(): void {
    if (this.asked) this.#move(this.asked);
  }

  stay(): void {
    this.asked = undefined;
  }

  /** Renames the place that is open without building it anew: a new registration has got its id. */
  settle(at: Place): void {
    this.current = at;
  }

  /** The places are taken down by a lock: who comes back finds the same place, and it starts nothing by itself. */
  suspend(): void {
    this.asked = undefined;
    const { current } = this;
    if (current.name === 'registration') this.current = { name: 'registration', id: current.id };
  }

  /** Until the returned function is called, leaving asks when unsaved() is true. */
  guard(unsaved: () => boolean): () => void {
    this.#unsaved = unsaved;
    return () => {
      if (this.#unsaved === unsaved) this.#unsaved = undefined;
    };
  }

  #move(to: Place): void {
    this.asked = undefined;
    this.#unsaved = undefined;
    this.current = to;
    this.visit += 1;
  }
}

export const router = new Router();
