"""`./x bench-crypto`: what Web Crypto takes, side by side with Node.js, Deno and Bun."""
