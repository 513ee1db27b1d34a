var filledIn = "{{host}} {{ports[http][0]}}";
