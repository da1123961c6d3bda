import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Bus } from './bus';
import { Child, run } from './child';
import { Secrets } from './secrets';
import { until } from './until';

/** The passphrase of the vault, where a file gives it. */
export const PASSPHRASE = 'canary passphrase of the vault 7f3a';

/**
 * One person's computer: a home folder, a data folder, a passphrase file, and a system browser that only notes which
 * address it was asked to open. All of it in one temporary folder.
 */
export class Desk {
  readonly root = mkdtempSync(join(tmpdir(), 'chartkey-e2e-'));
  /** CHARTKEY_HOME. */
  readonly data = join(this.root, 'kept', 'data');
  /** What the product may have written to: its data, and the home folder with the web view's files. */
  readonly kept = join(this.root, 'kept');
  readonly passphraseFile = join(this.root, 'passphrase');
  readonly secrets = new Secrets();
  readonly env: NodeJS.ProcessEnv;
  #mailbox = join(this.root, 'opened');
  #seen = 0;
  #bus: Bus | undefined;

  constructor(
    /** The chartkey binary. */
    readonly binary: string,
  ) {
    const home = join(this.kept, 'home');
    const tools = join(this.root, 'tools');
    const runtime = join(this.root, 'runtime');
    for (const dir of [home, tools, runtime]) mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeFileSync(this.passphraseFile, `${PASSPHRASE}\n`, { mode: 0o600 });
    writeFileSync(this.#mailbox, '');
    writeFileSync(join(tools, 'xdg-open'), `#!/bin/sh\nprintf '%s\\n' "$1" >>'${this.#mailbox}'\n`);
    chmodSync(join(tools, 'xdg-open'), 0o755);
    this.secrets.add('vault passphrase', PASSPHRASE);
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(XDG_|DBUS_|DISPLAY|WAYLAND|CHARTKEY_|GNOME_|GTK_|AT_SPI|BROWSER|.*_proxy$)/i.test(name)),
    );
    this.env = {
      ...inherited,
      HOME: home,
      XDG_RUNTIME_DIR: runtime,
      PATH: `${tools}:${process.env.PATH}`,
      GDK_BACKEND: 'x11',
      // No bus, and so no keyring, unless a test opens one.
      DBUS_SESSION_BUS_ADDRESS: 'disabled:',
      CHARTKEY_HOME: this.data,
      CHARTKEY_PASSPHRASE_FILE: this.passphraseFile,
    };
  }

  /** From here on there is no passphrase file. */
  forgetPassphrase(): void {
    delete this.env.CHARTKEY_PASSPHRASE_FILE;
  }

  /** From here on a file gives the passcode to the commands. */
  givePasscode(passcode: string): void {
    const file = join(this.root, 'passcode');
    writeFileSync(file, passcode, { mode: 0o600 });
    this.env.CHARTKEY_PASSCODE_FILE = file;
  }

  /** From here on there is a session bus. */
  async bus(): Promise<Bus> {
    this.#bus ??= await Bus.open(this.env);
    this.env.DBUS_SESSION_BUS_ADDRESS = this.#bus.address;
    return this.#bus;
  }

  /** From here on there is an unlocked keyring. */
  async keyring(): Promise<void> {
    await (await this.bus()).keyring(this.env);
  }

  /** Runs a command of chartkey on the same data folder, and gives the objects that it printed. */
  async chartkey(args: string[], stdin?: string): Promise<Record<string, unknown>[]> {
    const { code, out, err } = await run(this.binary, [...args, '--json'], { env: this.env, stdin });
    if (code !== 0) throw new Error(`chartkey ${args.join(' ')} ended with ${code}:\n${out}${err}`);
    return objects(out);
  }

  /** Starts a command of chartkey that goes on running. */
  start(args: string[]): Child {
    return new Child(`chartkey ${args[0]}`, this.binary, [...args, '--json'], { env: this.env });
  }

  /** The next address that the product has asked the system browser to open. */
  async opened(): Promise<string> {
    return until('the system browser is asked to open an address', () => {
      const line = this.addresses()[this.#seen];
      if (line === undefined) return undefined;
      this.#seen += 1;
      return line;
    });
  }

  /** Every address that the system browser was asked to open. */
  addresses(): string[] {
    return readFileSync(this.#mailbox, 'utf8').split('\n').slice(0, -1);
  }

  async close(): Promise<void> {
    await this.#bus?.close();
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** The complete lines of NDJSON. */
export function objects(out: string): Record<string, unknown>[] {
  return out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
