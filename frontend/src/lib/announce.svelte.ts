/** What the page's one polite live region says. */
class Announcer {
  text = $state('');
  #flip = false;

  /** What was said may name a patient. */
  hush(): void {
    this.text = '';
  }

  say(text: string): void {
    // The same sentence twice in a row would not be read; a trailing no-break space makes it new.
    this.#flip = !this.#flip;
    this.text = this.#flip ? text : text + '\u00a0';
  }
}

export const announcer = new Announcer();
