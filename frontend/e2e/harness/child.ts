import { spawn, type ChildProcess } from 'node:child_process';
import { until } from './until';

const alive = new Set<ChildProcess>();
// Whatever ends a run, nothing it started outlives it.
process.on('exit', () => alive.forEach((child) => child.kill('SIGKILL')));

export type Ended = { code: number | null; signal: NodeJS.Signals | null };
type Options = { env?: NodeJS.ProcessEnv; stdin?: string; /** Takes what is sent to it. */ interactive?: boolean };

/** A process that a test started, with all that it printed. */
export class Child {
  out = '';
  err = '';
  readonly ended: Promise<Ended>;
  #process: ChildProcess;
  #end: Ended | undefined;

  constructor(
    readonly name: string,
    command: string,
    args: string[],
    { env = process.env, stdin, interactive = false }: Options = {},
  ) {
    this.#process = spawn(command, args, { env, stdio: [interactive || stdin !== undefined ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    alive.add(this.#process);
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.#process.stdin?.on('error', () => undefined); // it ended before it read; its exit tells why
    if (stdin !== undefined) this.#process.stdin?.end(stdin);
    this.ended = new Promise((resolve, reject) => {
      this.#process.on('error', reject);
      this.#process.on('close', (code, signal) => {
        alive.delete(this.#process);
        this.#end = { code, signal };
        resolve(this.#end);
      });
    });
    this.ended.catch(() => undefined); // told to whoever waits
  }

  /** Writes to its input; null ends it. */
  send(text: string | null): void {
    if (text === null) this.#process.stdin?.end();
    else this.#process.stdin?.write(text);
  }

  get printed(): string {
    return this.out + this.err;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** Waits for something in what it prints. */
  async says<T>(what: string, find: (out: string) => T | undefined | false, within = 60_000): Promise<T> {
    return until(
      () => `${this.name} does not say ${what}; it said:\n${this.printed}`,
      () => {
        const found = find(this.out);
        if (found === undefined && this.#end) throw new Error(`${this.name} ended with ${JSON.stringify(this.#end)} before it said ${what}:\n${this.printed}`);
        return found;
      },
      { within },
    );
  }

  /** Asks it to end, and tells how it did. Fails where it does not end in time. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', within = 20_000): Promise<Ended> {
    this.#process.kill(signal);
    try {
      return await until(`${this.name} ends on ${signal}`, () => this.#end, { within });
    } catch (late) {
      this.#process.kill('SIGKILL');
      throw late;
    }
  }
}

/** Runs a command to its end. */
export async function run(command: string, args: string[], options: Options = {}): Promise<Ended & { out: string; err: string }> {
  const child = new Child(command, command, args, options);
  const end = await child.ended;
  return { ...end, out: child.out, err: child.err };
}
