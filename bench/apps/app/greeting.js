const name = "@NAME@";

export function greeting() {
  return `Hello from ${name}`;
}
