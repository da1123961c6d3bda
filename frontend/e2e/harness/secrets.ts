import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What must be written nowhere and told to nobody: the secrets that a test has come to know, each in the forms it could take. */
export class Secrets {
  #known = new Map<string, string>();

  add(name: string, value: string | null | undefined): void {
    if (!value) return;
    if (value.length < 8) throw new Error(`${name} is too short to be told from chance`);
    this.#known.set(value, name);
  }

  get names(): string[] {
    return [...this.#known.values()];
  }

  /** Names the secrets that stand in the bytes. */
  in(bytes: Buffer | string): string[] {
    const hay = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    const found: string[] = [];
    for (const [value, name] of this.#known) {
      for (const [form, needle] of forms(value)) {
        if (hay.includes(needle)) found.push(`${name} (${form})`);
      }
    }
    return found;
  }

  /** Names the secrets in the files of a folder, with the file's name. */
  inFiles(folder: string): string[] {
    return files(folder).flatMap((path) => this.in(readFileSync(path)).map((found) => `${found} in ${relative(folder, path)}`));
  }
}

export function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A value as it could stand in a file or message. Of base64, the part that does not hang on what stands beside it, at each of the three offsets. */
function forms(value: string): [string, Buffer][] {
  const raw = Buffer.from(value);
  const out: [string, Buffer][] = [
    ['as it is', raw],
    ['UTF-16', Buffer.from(value, 'utf16le')],
    ['hexadecimal', Buffer.from(raw.toString('hex'))],
    ['HEXADECIMAL', Buffer.from(raw.toString('hex').toUpperCase())],
    ['backwards', Buffer.from(raw).reverse()],
  ];
  const escaped = encodeURIComponent(value);
  if (escaped !== value) out.push(['URL-encoded', Buffer.from(escaped)], ['form-encoded', Buffer.from(escaped.replaceAll('%20', '+'))]);
  for (const offset of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(offset), raw]).toString('base64').replace(/=+$/, '');
    const inner = encoded.slice(offset === 0 ? 0 : offset + 1, -2);
    out.push([`base64, offset ${offset}`, Buffer.from(inner)]);
    const urlSafe = inner.replaceAll('+', '-').replaceAll('/', '_');
    if (urlSafe !== inner) out.push([`base64url, offset ${offset}`, Buffer.from(urlSafe)]);
  }
  return out;
}
