import { Child } from './child';

/** A screen of its own, so that no test needs one or disturbs one. */
export class Display {
  private constructor(
    readonly name: string,
    private readonly server: Child,
  ) {}

  static async open(): Promise<Display> {
    const server = new Child('Xvfb', 'Xvfb', ['-displayfd', '1', '-screen', '0', '1280x900x24', '-nolisten', 'tcp', '-noreset']);
    const number = await server.says('its display number', (out) => /^(\d+)\n/.exec(out)?.[1]);
    return new Display(`:${number}`, server);
  }

  async close(): Promise<void> {
    await this.server.stop();
  }
}
