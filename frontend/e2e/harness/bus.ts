import { Child, run } from './child';
import { until } from './until';

/** A session bus of its own; where asked, with a real, unlocked Secret Service or the accessibility bus. */
export class Bus {
  private children: Child[] = [];
  private constructor(readonly address: string) {}

  static async open(env: NodeJS.ProcessEnv): Promise<Bus> {
    const daemon = new Child('dbus-daemon', 'dbus-daemon', ['--session', '--nofork', '--nopidfile', '--print-address=1'], { env });
    const address = await daemon.says('its address', (out) => /^(unix:\S+)\n/.exec(out)?.[1]);
    const bus = new Bus(address);
    bus.children.push(daemon);
    return bus;
  }

  /** Starts gnome-keyring with an unlocked login keyring in the data folder of env. */
  async keyring(env: NodeJS.ProcessEnv): Promise<void> {
    const ours = { ...env, DBUS_SESSION_BUS_ADDRESS: this.address };
    this.children.push(
      new Child('gnome-keyring', 'gnome-keyring-daemon', ['--foreground', '--unlock', '--components=secrets'], { env: ours, stdin: 'opens the test keyring\n' }),
    );
    await this.owned('org.freedesktop.secrets', ours);
  }

  /** Starts the accessibility bus, so that windows tell their controls. */
  async accessibility(env: NodeJS.ProcessEnv): Promise<void> {
    const ours = { ...env, DBUS_SESSION_BUS_ADDRESS: this.address };
    this.children.push(new Child('at-spi-bus-launcher', '/usr/libexec/at-spi-bus-launcher', ['--launch-immediately'], { env: ours }));
    await this.owned('org.a11y.Bus', ours);
  }

  private async owned(name: string, env: NodeJS.ProcessEnv): Promise<void> {
    const ask = ['--session', '--print-reply', '--dest=org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus.NameHasOwner', `string:${name}`];
    await until(`${name} is on the bus`, async () => (await run('dbus-send', ask, { env })).out.includes('boolean true'));
  }

  async close(): Promise<void> {
    // The services take no leave: without their bus they have nothing left to do, and nothing of value to lose.
    for (const child of this.children) await child.stop('SIGKILL');
  }
}
