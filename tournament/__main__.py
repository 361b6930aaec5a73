from tournament.run import main

raise SystemExit(main())
