"""`./x bench-web`: what the Web APIs take, side by side with workerd, Deno and Bun."""
