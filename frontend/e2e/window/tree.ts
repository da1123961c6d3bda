import { fileURLToPath } from 'node:url';
import { Child, run } from '../harness/child';
import { until } from '../harness/until';

export type Control = { role?: string; name?: string; within?: { role?: string; name?: string } };
type Found = { role: string; name: string; text: string; focused: boolean; checked: boolean; enabled: boolean };

const words = (control: Control) => `${control.role ?? 'anything'} “${control.name ?? ''}”${control.within ? ` in “${control.within.name ?? ''}”` : ''}`;

/** The window as a screen reader has it: what stands there, and what can be pressed. */
export class Tree {
  #reader: Child;
  #asked = 0;

  constructor(private readonly env: NodeJS.ProcessEnv) {
    // Debian's bindings are for Debian's own Python.
    this.#reader = new Child('the accessibility reader', '/usr/bin/python3', [fileURLToPath(new URL('tree.py', import.meta.url))], { env, interactive: true });
  }

  async #ask(request: object): Promise<{ answer?: unknown; absent?: string }> {
    const n = this.#asked++;
    this.#reader.send(`${JSON.stringify(request)}\n`);
    const line = await this.#reader.says('an answer', (out) => {
      const lines = out.split('\n');
      return lines.length > n + 1 && lines[n];
    });
    return JSON.parse(line) as { answer?: unknown; absent?: string };
  }

  /** All controls that fit, at this moment. */
  async find(control: Control): Promise<Found[]> {
    return ((await this.#ask({ do: 'find', ...control })).answer ?? []) as Found[];
  }

  /** Waits for a control. */
  async see(control: Control, within = 30_000): Promise<Found> {
    return until(`${words(control)} is in the window`, async () => (await this.find(control))[0], { within });
  }

  /** Waits until a control is gone. */
  async gone(control: Control): Promise<void> {
    await until(`${words(control)} goes away`, async () => (await this.find(control)).length === 0);
  }

  /** Everything that stands in a control. */
  async text(control: Control): Promise<string> {
    return String((await this.#ask({ do: 'text', ...control })).answer ?? '');
  }

  /** Waits until a control has a text in it. */
  async reads(control: Control, expected: string | RegExp, within = 30_000): Promise<string> {
    let last = '';
    return until(
      () => `${words(control)} reads ${String(expected)}; it reads: ${last}`,
      async () => {
        last = await this.text(control);
        return (typeof expected === 'string' ? last.includes(expected) : expected.test(last)) && last;
      },
      { within },
    );
  }

  /** Waits for a control and presses it. */
  async press(control: Control): Promise<void> {
    await this.#act('press', control);
  }

  async #act(act: 'press' | 'focus', control: Control): Promise<void> {
    let why = '';
    await until(
      () => `${act} ${words(control)}: ${why}`,
      async () => {
        const told = await this.#ask({ do: act, ...control });
        why = told.absent ?? 'it takes no press';
        return told.answer === true;
      },
    );
  }

  /** Types into a field on the keyboard, over what was there. */
  async type(control: Control, text: string): Promise<void> {
    await this.#act('focus', control);
    await until(`${words(control)} has the keyboard`, async () => (await this.find(control))[0]?.focused);
    await this.keys('ctrl+a', 'Delete');
    await this.#x('type', '--delay', '4', '--', text);
    // Keys that are still on their way would go to whatever has the keyboard next. A password shows its length alone.
    await until(`${words(control)} holds what was typed`, async () => {
      const [field] = await this.find(control);
      return field?.role === 'password text' ? field.text.length === text.length : field?.text === text;
    });
  }

  async keys(...keys: string[]): Promise<void> {
    await this.#x('key', '--', ...keys);
  }

  /** Without a window manager nobody else gives the window the keyboard. */
  async activate(): Promise<void> {
    await until('the window takes the keyboard', async () => (await run('xdotool', ['search', '--onlyvisible', '--name', '^Chartkey$', 'windowfocus', '--sync'], { env: this.env })).code === 0);
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#x('search', '--onlyvisible', '--name', '^Chartkey$', 'windowsize', '--sync', String(width), String(height));
  }

  async #x(...args: string[]): Promise<void> {
    const { code, err } = await run('xdotool', args, { env: this.env });
    if (code !== 0) throw new Error(`xdotool ${args[0]} ended with ${code}: ${err}`);
  }

  async close(): Promise<void> {
    this.#reader.send(null);
    await this.#reader.ended;
  }
}
