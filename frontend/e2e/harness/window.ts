import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect } from '@playwright/test';
import { Child } from './child';
import type { Desk } from './desk';
import { until } from './until';

// What GTK, WebKit and Wails print by themselves.
const usual = [
  /^Overriding existing handler for signal \d+\. Set JSC_SIGNAL_FOR_GC/,
  /^\(.*\): (Gtk|Gdk|GLib|dconf|dbind|GLib-GIO|GLib-GObject|Atk)-(WARNING|Message|CRITICAL) \*\*/,
  /^\*\* \(.*\): WARNING \*\*: .*(AT-SPI|accessibility bus|Error retrieving accessibility bus)/,
  /^\*\* Message: /,
  /^libEGL warning|^MESA/,
  // The development server speaks of a browser that has left, and of one that says what it has no use for.
  /^ERR \| Websocket write message failed /,
  /^ERR \| (process message error: runtime:ready -> )?Unknown message from front end: runtime:ready$/,
  // Told of each request that the launch listener turns away, which is what some tests are about.
  /level=WARN msg="a request to the launch listener was refused" reason=\S+$/,
  /^\s*$/,
];

/** The running product with its window, and in a build for development also its page at `url`. */
export class Window {
  private constructor(
    readonly process: Child,
    private readonly desk: Desk,
    /** Where the page is served with working bindings. */
    readonly url: string,
  ) {}

  /** Starts the window. `page` is the built page, which a build for development serves. */
  static async open(desk: Desk, display: string, { page, args = [] }: { page?: string; args?: string[] } = {}): Promise<Window> {
    const address = page ? `localhost:${await freePort()}` : '';
    const env = { ...desk.env, DISPLAY: display, ...(page ? { devserver: address, assetdir: page } : {}) };
    const child = new Child('chartkey', desk.binary, args, { env });
    const window = new Window(child, desk, `http://${address}/`);
    if (page) {
      await until(
        () => `the window's page is served; it said:\n${child.printed}`,
        async () => {
          if (!child.running) throw new Error(`chartkey ended with ${JSON.stringify(await child.ended)}:\n${child.printed}`);
          return fetch(window.url).then((answer) => answer.ok).catch(() => false);
        },
        { within: 60_000 },
      );
    }
    return window;
  }

  /** Ends it by a signal, and proves that it ended in order and had nothing unusual or secret to print. */
  async close(): Promise<void> {
    const { code } = await this.process.stop();
    expect(code, `how chartkey ended; it said:\n${this.process.printed}`).toBe(143);
    this.check();
  }

  /** Proves that it had nothing unusual or secret to print. */
  check(): void {
    const { printed } = this.process;
    expect(this.desk.secrets.in(printed), 'secrets in what chartkey printed').toEqual([]);
    // Of the end itself the exit code tells: what WebKit's own processes say as they are cut off is theirs.
    const [before = ''] = printed.split('Ctrl+C detected. Shutting down...');
    expect(before.split('\n').filter((line) => !usual.some((form) => form.test(line))), `unusual in what chartkey printed, which is:\n${printed}`).toEqual([]);
  }

  /** The arguments of a process are open to every user of the computer. */
  get commandLine(): string {
    return readFileSync(`/proc/${this.process.pid}/cmdline`, 'utf8');
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
