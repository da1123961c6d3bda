import { describe, expect, it } from 'vitest';
import { asRefusal } from './bridge';

const fault = { code: 'port-taken', message: 'Port 18340 is taken.', advice: 'End the other program.', retryable: true };

describe('what a bound method rejected with', () => {
  it('is read from the JSON that Wails wraps into an Error', () => {
    const fields = [{ field: 'name', level: 'error', message: 'The name is missing.', advice: '' }];
    expect(asRefusal(new Error(JSON.stringify({ ...fault, fields })))).toEqual({ ...fault, fields });
  });

  it('is taken as it is where it is an object', () => {
    expect(asRefusal(fault)).toEqual({ ...fault, fields: [] });
  });

  it.each(['no such method', '"quoted"', '{broken'])('keeps the words of %s', (words) => {
    expect(asRefusal(words).message).toBe(words);
    expect(asRefusal(new Error(words)).message).toBe(words);
  });

  it.each([undefined, null, {}])('has words even for %s', (reason) => {
    expect(asRefusal(reason).message).not.toBe('');
  });
});
