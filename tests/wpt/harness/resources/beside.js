const fromBeside = typeof this === "object" && this === self ? "beside" : "not a classic script";
